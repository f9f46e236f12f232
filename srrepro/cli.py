"""The command `srrepro`: names its verbs, and turns what a user can cause into one message and an exit code.

A verb is imported when it is asked for: `srrepro --version` must not wait for PyTorch.
"""

import sys
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

import srrepro
from srrepro.errors import (
    Diverged,
    Failed,
    InputError,
    OutOfTime,
    Stopped,
    instead,
    is_out_of_memory,
    out_of_memory,
)
from srrepro.plain import Plain, plain

VERBS = {
    "prepare": "sets",
    "list": "sets",
    "show": "sets",
    "train": "running",
    "evaluate": "measuring",
    "score": "measuring",
    "explain": "measuring",
    "upscale": "pictures",
    "export": "exporting",
    "run-all": "running",
    "import": "running",
    "bench": "judging",
    "check": "judging",
    "report": "judging",
    "table": "showing",
    "plot": "showing",
    "doctor": "doctor",
}
"""Which file of `srrepro.verbs` each is in, in the order of a reader's questions."""


class Verbs(click.Group):
    """The verbs, by name.

    Exit codes are 2 for bad input, 1 for a run that failed or was stopped; a run that was to stop by now has done what
    was asked: 0.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        found = vars(import_module(f"srrepro.verbs.{VERBS[cmd_name]}")).values()
        return next(verb for verb in found if isinstance(verb, click.Command) and verb.name == cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        asked = args[0]
        if asked not in VERBS and not asked.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"There is no verb {asked!r}. {instead(asked, VERBS)}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs and the options of `srrepro` itself; click's own would load every verb for its help."""
        verbs = [CompletionItem(verb) for verb in VERBS if verb.startswith(incomplete)]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with redirect_stdout(Plain(sys.stdout)):
                return super().invoke(ctx)
        except (InputError, OSError) as error:
            _leave(str(error), code=2)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            _leave(out_of_memory(error), code=2)
        except (Diverged, Failed) as error:
            _leave(str(error), code=1)
        except OutOfTime as stopped:
            click.echo(f"{stopped}; {stopped.again} to resume")
        except Stopped as stopped:
            _leave(f"{stopped}; {stopped.again} to resume", code=1)


class _Exit(click.ClickException):
    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]


def _leave(message: str, *, code: int) -> NoReturn:
    """End with a message on standard error."""
    raise _Exit(plain(message), code)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(srrepro.__version__)
def main() -> None:
    """Reproduce super-resolution papers, and show how far every number is from the published one.

    Start with `srrepro run-all --suite demo`: it needs no download.
    """
