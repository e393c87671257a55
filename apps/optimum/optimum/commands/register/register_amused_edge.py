"""`optimum-cli export amused-edge` and `optimum-cli amused-edge`: words that optimum's command line hands to ours.

optimum loads this file whenever its command line starts, so nothing is imported here that takes time. Of an export it
reads the options that all of optimum's exports share; the rest is left to `amused-edge export`.
"""

import sys
from argparse import REMAINDER, ArgumentParser, RawDescriptionHelpFormatter

from optimum.commands.base import BaseOptimumCLICommand, CommandInfo
from optimum.commands.export.base import ExportCommand

TASKS = ("auto", "text-to-image", "image-to-image", "inpainting")
"""As optimum calls them. A bundle does them all, so the choice changes nothing."""

_HELP = "-h", "--help"


class HandedOver(BaseOptimumCLICommand):  # type: ignore[misc]
    """A command of amused-edge, which reads all words behind its name."""

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """Take the words as they are."""
        parser.prefix_chars = "\0"  # no word begins so, thus none is taken for an option, nor for the help
        parser.add_argument("words", nargs=REMAINDER)

    def run(self) -> None:
        """Run the command, and exit as it does."""
        _hand_over(self.COMMAND.name, *self.args.words)


class Export(HandedOver):
    """`optimum-cli export amused-edge -m MODEL OUT`: `amused-edge export MODEL OUT`."""

    COMMAND = CommandInfo(
        name="amused-edge", help="Export an aMUSEd checkpoint to a bundle for phones, with --recipe in fewer bits."
    )

    def run(self) -> None:
        """Run the export, and exit as it does."""
        parser = _shared_options(self.parser.prog)
        if set(_HELP) & set(self.args.words):
            print(parser.format_help(), flush=True)
            _hand_over("export", "--help")
        given, others = parser.parse_known_args(self.args.words)
        if given.trust_remote_code:
            parser.error(
                "--trust-remote-code has no meaning here: of a checkpoint, weights and configuration are read and no "
                "code is run; leave it out"
            )
        if given.task not in TASKS:
            parser.error(f"--task {given.task} is none that aMUSEd has; leave it out, or give {', '.join(TASKS)}")
        _hand_over("export", given.model, *others)


class Commands(BaseOptimumCLICommand):  # type: ignore[misc]
    """`optimum-cli amused-edge COMMAND ...`: `amused-edge COMMAND ...`."""

    COMMAND = CommandInfo(name="amused-edge", help="Check, measure and draw with aMUSEd bundles.")
    SUBCOMMANDS = (
        CommandInfo("validate", "Export, quantize and report, all at once.", HandedOver),
        CommandInfo("bench", "Measure bundles against each other.", HandedOver),
        CommandInfo("generate", "Draw pictures with a bundle.", HandedOver),
    )


def _shared_options(program: str) -> ArgumentParser:
    """Return a parser of the options that optimum's exports share."""
    parser = ArgumentParser(
        program,
        usage=f"{program} -m MODEL [--task TASK] [OPTIONS] OUT",
        description="All OPTIONS are those of `amused-edge export`, whose help follows.",
        formatter_class=RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("-m", "--model", required=True, help="a folder in diffusers layout, or a hub id: CHECKPOINT")
    parser.add_argument("--task", default="auto", help=f"{', '.join(TASKS)}: a bundle does them all")
    parser.add_argument("--trust-remote-code", action="store_true", help="refused: no code of a checkpoint is run")
    return parser


def _hand_over(*words: str) -> None:
    """Run `amused-edge`, which ends the process with its exit code."""
    from amused_edge.cli import main

    sys.argv = ["amused-edge", *words]
    main()


REGISTER_COMMANDS = [(Export, ExportCommand), Commands]
