"""Commands and options that do not exist, with what to write instead; other programs' words for them are known, too."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from typer.core import TyperCommand, TyperGroup

from ganforge.core.errors import UsageError

_COMMANDS = {
    word: command
    for command, words in {
        "run": "train fit start launch exec",
        "run --resume": "resume continue restart",
        "run --seeds": "sweep repeat",
        "check": "validate lint dry-run config",
        "evaluate": "test eval measure score metrics",
        "sample": "generate draw predict infer inference",
        "describe": "show info inspect help",
        "list": "ls components",
        "runs": "history status log logs experiments",
        "report": "html plot",
        "compare": "diff",
        "export": "convert save onnx",
        "ui": "dashboard server serve mlflow tensorboard",
        "sync": "upload push send",
        "data prepare": "download dataset datasets",
        "plugins new": "new init create scaffold",
        "--version": "version",
    }.items()
    for word in words.split()
}
"""Commands by the words that other programs have for them."""


class Command(TyperCommand):
    """A command that explains options which it does not have."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; see :func:`_explain_option`."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            option = getattr(error, "option_name", None)  # of a click.NoSuchOption
            known = {name for parameter in self.params for name in parameter.opts}
            if option and (remedy := _explain_option(option, known)):
                raise UsageError(f"there is no option {option}", remedy=remedy) from None
            raise


class CommandGroup(TyperGroup):
    """A group that suggests commands for words which are none."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of the first word; a UsageError if there is none."""
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            remedy = _suggest_command(word, ctx.command_path, self.commands)
            raise UsageError(f"{ctx.command_path} has no command '{word}'", remedy=remedy)
        return super().resolve_command(ctx, args)


def _suggest_command(word: str, group: str, commands: Iterable[str]) -> str:
    if word.endswith(".toml"):
        from ganforge.registry.selection import next_command

        return f"to train a recipe: {next_command('run', word)}"
    known = {command: f"{group} {command}" for command in commands}
    named = {word: f"ganforge {command}" for word, command in _COMMANDS.items() if f"ganforge {command}".startswith(f"{group} ")}
    near = get_close_matches(word.lower(), [*known, *named], n=1, cutoff=0.6) if len(word) <= 100 else ()
    listed = f"commands: {', '.join(known)}"
    return f"did you mean '{(named | known)[near[0]]}'? {listed}" if near else listed


def _explain_option(option: str, known: set[str]) -> str | None:
    """What to write instead of an option of another program, if the command can do it."""
    from ganforge.recipe.config import Recipe
    from ganforge.recipe.validation import OTHER_WORDS, keys_named

    word = option.lstrip("-").replace("-", "_").lower()
    other = OTHER_WORDS.get(word, ())
    if options := [text for text in other if text.partition(" ")[0] in known]:
        return f"use {' or '.join(options)}"
    keys = [text for text in other if not text.startswith("-")] or keys_named(word, Recipe)
    if not word or "--set" not in known or not keys:
        return None
    return f"set it in the recipe, or with {' '.join(f'--set {key}=…' for key in keys)}"
