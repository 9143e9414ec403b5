"""Why a step ends without its output, and the exit codes that say so."""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_NEEDS_MORE = 3


class PipelineError(Exception):
    """Root; the text says what happened and what to do."""

    exit_code = EXIT_FAILED


class BadInputError(PipelineError):
    """Something given to a step is not what it should be."""

    exit_code = EXIT_BAD_INPUT


class NeedsMoreError(PipelineError):
    """This machine lacks what the step needs: the image, a GPU, a running server."""

    exit_code = EXIT_NEEDS_MORE


class StepFailedError(PipelineError):
    """A tool ended with an error, or its output is not what it should be."""
