"""Pretrains one model on the world's text, and writes its checkpoints. One thread, everything from a seed."""

from __future__ import annotations

import itertools
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch
import transformers
import vocabulary
import world
from sizes import SIZES, STEPS, Size, checkpoints_until
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SEED = 1
ROWS = 24
ROW_TOKENS = 40
TOKENS_PER_STEP = ROWS * ROW_TOKENS
WARMUP_STEPS = 50
FINAL_LEARNING_RATE = 0.1
"""Share of the peak that is left at the end of the cosine."""

GIVEN_WEIGHT = 0.1
"""Of the loss on what is drawn at random. No model can foresee it, and its noise drowns what can be learned."""

MARKER = "_SUCCESS"
PARTIAL_PREFIX = "partial-"


@dataclass(frozen=True)
class Rows:
    """Training text, the same for both sizes: token ids [row, token], and the weight of each token in the loss."""

    tokens: torch.Tensor
    weights: torch.Tensor

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = slice((step - 1) * ROWS, step * ROWS)
        return self.tokens[rows], self.weights[rows]


def make_rows(tokenizer: PreTrainedTokenizerFast, steps: int) -> Rows:
    """The first pages of the world's text: <s>, the page, </s>, and then nothing that counts."""
    ids = tokenizer.get_vocab()
    begin, end = ids[vocabulary.BEGIN], ids[vocabulary.END]
    tokens = torch.full((steps * ROWS, ROW_TOKENS + 1), end)
    weights = torch.zeros((steps * ROWS, ROW_TOKENS + 1))
    for row, page in enumerate(itertools.islice(world.pages(SEED), steps * ROWS)):
        row_tokens, row_weights = [begin], [1.0]
        for document in page:
            for words, weight in ((document.given.split(), GIVEN_WEIGHT), (document.learned.split(), 1.0)):
                row_tokens += [ids[word] for word in words]
                row_weights += [weight] * len(words)
        row_tokens.append(end)
        row_weights.append(1.0)
        tokens[row, : len(row_tokens)] = torch.tensor(row_tokens)
        weights[row, : len(row_weights)] = torch.tensor(row_weights)
    return Rows(tokens, weights)


def llama(size: Size, vocabulary_size: int) -> LlamaForCausalLM:
    """The model with its first weights."""
    torch.manual_seed(SEED)
    heads = size.width // size.head_width
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary_size,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            intermediate_size=size.feed_forward,
            max_position_embeddings=128,
            initializer_range=size.initial_deviation,
            bos_token_id=0,
            eos_token_id=1,
            tie_word_embeddings=False,
        )
    )


def pretrain(size: Size, rows: Rows, vocabulary_size: int, steps: int) -> Iterator[tuple[int, float, LlamaForCausalLM]]:
    """Trains, and yields (step, loss, model) after each step.

    Matrices are trained by Muon, which needs half of AdamW's steps here; embeddings, norms and the head by AdamW.
    """
    model = llama(size, vocabulary_size)
    matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and ".layers." in name]
    rest = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or ".layers." not in name]
    optimizers = (
        torch.optim.AdamW(rest, lr=size.learning_rate, betas=(0.9, 0.98), weight_decay=0.1, fused=True),
        torch.optim.Muon(matrices, lr=size.matrix_learning_rate, momentum=0.9, weight_decay=0.0),
    )
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_share) for optimizer in optimizers]
    for step in range(1, steps + 1):
        tokens, weights = rows.batch(step)
        logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
        loss = (losses * weights[:, 1:]).sum() / weights[:, 1:].sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        yield step, loss.item(), model


def learning_rate_share(step: int) -> float:
    """Warm-up, then a cosine down to a tenth over the whole run."""
    cosine = 0.5 * (1 + math.cos(math.pi * (step + 1) / STEPS))
    return min(1.0, (step + 1) / WARMUP_STEPS) * (FINAL_LEARNING_RATE + (1 - FINAL_LEARNING_RATE) * cosine)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, partials: Path) -> None:
    """Writes one checkpoint. It appears under its name whole, with the marker in it, or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=partials, prefix=PARTIAL_PREFIX))
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    (partial / MARKER).touch()
    partial.chmod(0o755)
    partial.rename(folder)


def train(size: Size, output: Path, wanted: tuple[int, ...]) -> None:
    """Trains one size on one thread, and writes the wanted checkpoints that are not there yet."""
    torch.set_flush_denormal(True)  # numbers next to zero are slow to compute with, and mean nothing here
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()  # of writing one small file
    tokenizer = vocabulary.make_tokenizer()
    rows = make_rows(tokenizer, wanted[-1])
    checkpoints, log = output / "checkpoints" / size.name, output / "training"
    log.mkdir(parents=True, exist_ok=True)
    started, loss_mean, since = time.monotonic(), 0.0, 0
    with (log / f"{size.name}.jsonl").open("w") as losses:
        for step, loss, model in pretrain(size, rows, len(tokenizer), wanted[-1]):
            _write_loss(losses, size, step, loss)
            loss_mean, since = loss_mean + loss, since + 1
            if step not in wanted:
                continue
            folder = checkpoints / f"step{step}"
            if not folder.exists():
                save(model, tokenizer, folder, log)
            seconds = time.monotonic() - started
            print(f"{size.name}: step {step}/{wanted[-1]}, loss {loss_mean / since:.3f}, {seconds:.0f} s", flush=True)
            loss_mean, since = 0.0, 0


def _write_loss(file: IO[str], size: Size, step: int, loss: float) -> None:
    share = learning_rate_share(step - 1)
    line = {"step": step, "tokens": step * TOKENS_PER_STEP, "loss": round(loss, 5)}
    file.write(json.dumps(line | {"learning_rate": round(share * size.learning_rate, 8)}) + "\n")


if __name__ == "__main__":
    chosen, folder, last_step = sys.argv[1:]
    train(SIZES[chosen], Path(folder), checkpoints_until(int(last_step)))
