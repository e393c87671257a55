from optimum.commands.base import BaseOptimumCLICommand, CommandInfo


class ExportCommand(BaseOptimumCLICommand):
    COMMAND = CommandInfo("export", "Exports.")
