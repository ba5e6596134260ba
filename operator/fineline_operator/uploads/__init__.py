"""Uploads: what object stores tell of them, by a webhook and by SQS, wakes the sources that they fall under.

    messages   bodies → objects (bucket, key)                pure
    mapping    objects → sources, by the prefixes of URIs    pure
    listed     which sources there are: listed when events come, the same in every replica
    waking     sources → an annotation, which the acting replica's watch sees
    arrivals   the webhook's objects → sources, now or after the next listing
    webhook    the server, in every replica
    token      who may post
    queues     SQS, in the acting replica: one reader per queue that sources name
    sqs_client boto3, and nothing else

Events only wake. A listing tells what is there, and the poll finds what no event told.
"""
