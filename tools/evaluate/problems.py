"""What a run of a plan may have to say to the person who started it."""


class EvaluationError(Exception):
    """Something the user can put right: the message says what is wrong, where, and what to do. Finished samples stay."""


class SampleError(EvaluationError):
    """A shard of samples that cannot be used (numbers that are not finite); others go on."""
