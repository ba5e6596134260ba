# ruff: noqa: INP001 - run as text, never imported
"""What `helm test` runs: asks the operator's Service, and the webhook's where it is given, until both answer.

python3 answers.py http://operator:8080 [http://webhook:80]
"""

import sys
import time
import urllib.error
import urllib.request

SECONDS = 120


def answer(url):
    """The status and the text; 0 and the reason where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as found:  # noqa: S310 - the chart's own addresses
            return found.status, found.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError as error:
        return 0, str(error)


def wrong(operator, webhook):
    """What is not as it should be, in words; nothing where all is."""
    status, text = answer(f"{operator}/healthz")
    if status != 200:
        return f"{operator}/healthz: {status or 'no answer'} {text}"
    status, text = answer(f"{operator}/metrics")
    if status != 200 or "fineline_leader" not in text:
        return f"{operator}/metrics: {status or 'no answer'}, and not the operator's metrics"
    # Whoever has no token is sent away: so the webhook listens, and nothing is woken.
    if webhook and (found := answer(webhook))[0] != 401:
        return f"{webhook}: {found[0] or 'no answer'} {found[1]}, and not 401, as without a token"
    return ""


def main(operator, webhook=""):
    end = time.monotonic() + SECONDS
    while (told := wrong(operator, webhook)) and time.monotonic() < end:
        time.sleep(1)
    if told:
        sys.exit(told)
    sys.stdout.write("the operator answers\n")


main(*sys.argv[1:])
