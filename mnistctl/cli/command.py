"""Commands and groups of commands whose help is grouped and ends with examples."""

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

NAME_WIDTH = 30
"""Columns for names in the help; longer ones have their text below them."""


class _Manners:
    """Help in groups that ends with examples, and short completion."""

    def format_options(self: Any, ctx: Any, formatter: Any) -> None:
        """All arguments and options under their `rich_help_panel`."""
        rows = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                name, text = record
                panel = getattr(parameter, "rich_help_panel", None) or "Options"
                if parameter.param_type_name == "argument":  # by name alone, without Typer's type
                    panel, name = "Arguments", parameter.metavar
                rows.append((panel, name, text))
        # What has no group of its own, such as --help, stands last.
        _write_groups(sorted(rows, key=lambda row: row[0] == "Options"), formatter)

    def format_epilog(self: Any, ctx: Any, formatter: Any) -> None:
        """Each line of the epilog as an example, as it stands."""
        if self.epilog:
            with formatter.section("Examples"):
                for line in self.epilog.splitlines():
                    formatter.write(f"  {line}\n")

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Names to propose to the shell, bare: Typer imports rich for each description."""
        items: list[Any] = super().shell_complete(ctx, incomplete)  # type: ignore[misc]
        for item in items:
            item.help = None
        return items


class Command(_Manners, TyperCommand):
    """A command."""


class Group(_Manners, TyperGroup):
    """A group; its commands are listed under their `rich_help_panel`, too."""

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
        super().format_options(ctx, formatter)


def examples(*commands: str) -> str:
    """The `epilog` that shows `commands`."""
    return "\n".join(commands)


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
