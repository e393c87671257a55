"""Finds the files of plug-ins, and runs what is asked for."""

import pkgutil
from argparse import ArgumentParser
from importlib import import_module

from optimum.commands.export.base import ExportCommand


def main() -> None:
    parser = ArgumentParser("optimum-cli")
    commands = parser.add_subparsers()
    export = ExportCommand(commands)
    folder = import_module("optimum.commands.register")
    for module in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."):
        for each in import_module(module.name).REGISTER_COMMANDS:
            kind, parent = each if isinstance(each, tuple) else (each, None)
            export.add(kind) if parent is ExportCommand else kind(commands)
    given = parser.parse_args()
    given.command.args = given
    given.command.run()
