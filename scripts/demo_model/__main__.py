"""Train the built-in demo models and check the saved files; --check only checks."""

import argparse
import sys
import time

from demo_model.tokenizer import save_tokenizer, train_tokenizer, with_template
from demo_model.train import save_model, train_model
from demo_model.variants import VARIANTS, Variant
from demo_model.verify import count_golden


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/train-demo-model", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{' or '.join(VARIANTS)}; else all")
    parser.add_argument("--check", action="store_true", help="only ask the saved models the golden questions")
    parser.add_argument("--steps", type=int, help="training steps, if not as many as for the shipped models")
    options = parser.parse_args()
    if unknown := set(options.models) - set(VARIANTS):
        parser.error(f"there is no model {min(unknown)}")
    wanted = [VARIANTS[name] for name in options.models or VARIANTS]
    if not options.check:
        for variant in wanted:
            _train(variant, options.steps or variant.steps)
    complete = [count_golden(variant) for variant in wanted]
    return 0 if all(complete) else 1


def _train(variant: Variant, steps: int) -> None:
    started = time.monotonic()
    merges = train_tokenizer(variant)
    tokenizer = with_template(merges, variant.directory)
    model = train_model(variant, tokenizer, steps)
    # Saved together and last: old weights with new tokens answer nonsense.
    save_tokenizer(merges, variant.directory)
    save_model(model, tokenizer, variant.directory)
    print(f"{variant.reference}: trained in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
