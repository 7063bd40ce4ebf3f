"""Evidence at scale: plans of models x guidance chains x seeds, run on one machine or many, judged and reported.

    python -m tools.evaluate PLAN.yaml [--output FOLDER] [--workers 2 | --ray [ADDRESS]]

See docs/evaluation.md.
"""
