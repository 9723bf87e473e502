"""A plugin package to start from, written from the templates beside this file. Torch-free."""

from ganforge.scaffold.plugin_writer import write_plugin

__all__ = ["write_plugin"]
