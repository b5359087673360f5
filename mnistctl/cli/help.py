"""`mnistctl help`: the reference pages of `mnistctl/help`, one Markdown file per topic."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mnistctl.cli import options
from mnistctl.cli.command import examples
from mnistctl.cli.output import Output, start_output
from mnistctl.cli.streams import is_terminal
from mnistctl.errors import UsageError, unknown

EXAMPLES = examples("mnistctl help", "mnistctl help recipes", "mnistctl help train")
PAGES = Path(__file__).parents[1] / "help"
STYLES = {
    "markdown.code": "bold",  # rich's default, on black, stands out on a light terminal
    "markdown.h1": "bold",
    "markdown.h2": "bold",
    "markdown.table.border": "dim",
    "markdown.table.header": "bold",
}


def help_command(
    ctx: typer.Context,
    topic: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TOPIC",
            help="A topic, or a command such as 'runs show' [default: list the topics].",
            show_default=False,
            autocompletion=lambda: [*topics()],
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Explain a topic, such as recipes or exit-codes.

    On a terminal the page is formatted, in a pipe it is plain Markdown.
    """
    output = start_output(ctx, json, quiet=False)
    name = " ".join(topic or ())
    if not topic:
        _list_topics(output)
    elif name in topics():
        _show(output, name, page(name), markdown=True)
    else:
        _show(output, name, _context_of(topic, ctx.find_root()).get_help())


def _context_of(words: Sequence[str], root: Any) -> Any:
    """Where a command's help is written. Raises UsageError for words that are none."""
    context = root
    for number, word in enumerate(words):
        group = hasattr(context.command, "list_commands")
        names: list[str] = context.command.list_commands(context) if group else []
        before = " ".join(words[:number]) or word
        if not names or (context is root and word in topics()):
            raise UsageError(f"'{' '.join(words)}' is no topic", f"mnistctl help {before}")
        if word not in names:
            known = (*(topics() if context is root else ()), *names)
            where = "mnistctl help" if context is root else f"mnistctl help {before}"
            raise unknown("topic", word, known, f"{where} describes them")
        command = context.command.get_command(context, word)
        context = typer.Context(command, info_name=word, parent=context)
    return context


def topics() -> tuple[str, ...]:
    """The names of the topics, sorted."""
    return tuple(sorted(path.stem for path in PAGES.glob("*.md")))


def page(topic: str) -> str:
    """The Markdown text of a topic: its title, a summary of one line, then the reference."""
    return (PAGES / f"{topic}.md").read_text(encoding="utf-8")


def summary(topic: str) -> str:
    """The line below the title of a topic's page."""
    return page(topic).splitlines()[2]


def _list_topics(output: Output) -> None:
    output.document({"topics": [{"topic": name, "summary": summary(name)} for name in topics()]})
    width = max(map(len, topics()))
    output.line("Topics:")
    for name in topics():
        output.line(f"  {name:<{width}}  {summary(name)}")
    output.line("")
    output.line("Show one with: mnistctl help TOPIC")


def _show(output: Output, topic: str, text: str, markdown: bool = False) -> None:
    output.document({"topic": topic, "text": text})
    if not (markdown and output.human and is_terminal(sys.stdout)):
        for line in text.rstrip().splitlines():
            output.line(line)
        return
    from rich.markdown import Markdown
    from rich.theme import Theme

    console = output.console()
    with console.use_theme(Theme(STYLES)):
        console.print(Markdown(text, code_theme="ansi_dark", hyperlinks=False))
