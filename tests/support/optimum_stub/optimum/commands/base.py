"""What a plug-in sees of optimum's command line, no more; the same tests run with optimum itself in `make optimum`."""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CommandInfo:
    name: str
    help: str
    subcommand_class: Any = None


class BaseOptimumCLICommand:
    COMMAND: CommandInfo
    SUBCOMMANDS: tuple[CommandInfo, ...] = ()

    def __init__(self, commands: Any, info: CommandInfo | None = None) -> None:
        self.COMMAND = info or self.COMMAND
        self.args = Namespace()
        self.parser: ArgumentParser = commands.add_parser(self.COMMAND.name, help=self.COMMAND.help)
        self.parse_args(self.parser)
        self.parser.set_defaults(command=self)
        self._commands = None
        for each in self.SUBCOMMANDS:
            self.add(each.subcommand_class, each)

    def add(self, kind: Any, info: CommandInfo | None = None) -> None:
        self._commands = self._commands or self.parser.add_subparsers()
        kind(self._commands, info)

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        pass

    def run(self) -> None:
        self.parser.print_help()
