"""Commands and groups of commands whose help is grouped and ends with examples."""

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

NAME_WIDTH = 30
"""Columns for names in the help; longer ones have their text below them."""


class Command(TyperCommand):
    """Lists options under their `rich_help_panel`; each line of `epilog` is an example."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """All arguments and options, in groups."""
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples, as they stand."""
        _write_examples(self.epilog, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Names to propose to the shell, bare: Typer imports rich for each description."""
        return _without_help(super().shell_complete(ctx, incomplete))


class Group(TyperGroup):
    """The same for a group; its commands are listed under their `rich_help_panel`, too."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """All commands and options, in groups."""
        commands = [
            command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))
        ]
        width = formatter.width - max(len(command.name or "") for command in commands) - 6
        rows = (
            (
                getattr(command, "rich_help_panel", None) or "Commands",
                command.name or "",
                command.get_short_help_str(width),
            )
            for command in commands
            if not command.hidden
        )
        _write_groups(rows, formatter)
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples, as they stand."""
        _write_examples(self.epilog, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Names to propose to the shell, bare: Typer imports rich for each description."""
        return _without_help(super().shell_complete(ctx, incomplete))


def examples(*commands: str) -> str:
    """The `epilog` that shows `commands`."""
    return "\n".join(commands)


def _without_help(items: list[Any]) -> list[Any]:
    for item in items:
        item.help = None
    return items


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    rows = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            name, text = record
            panel = getattr(parameter, "rich_help_panel", None) or "Options"
            if parameter.param_type_name == "argument":  # by name alone, without Typer's type
                panel, name = "Arguments", parameter.metavar
            rows.append((panel, name, text))
    # What has no group of its own, such as --help, stands last.
    _write_groups(sorted(rows, key=lambda row: row[0] == "Options"), formatter)


def _write_groups(rows: Iterable[tuple[str, str, str]], formatter: Any) -> None:
    """Rows of (group, name, text) in tables, one below the other, columns aligned."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for group, name, text in rows:
        groups.setdefault(group, []).append((name, text))
    names = [name for table in groups.values() for name, _ in table]
    width = min(max(map(len, names), default=0), NAME_WIDTH)
    for group, table in groups.items():
        with formatter.section(group):
            formatter.write_dl([(name.ljust(width), text) for name, text in table])


def _write_examples(epilog: str | None, formatter: Any) -> None:
    if epilog:
        with formatter.section("Examples"):
            for line in epilog.splitlines():
                formatter.write(f"  {line}\n")
