"""The template of new plugin packages. Torch-free."""

from ganforge.scaffold.plugin_writer import write_plugin

__all__ = ["write_plugin"]
