"""For plugin authors: fake installations, stand-in components and the conformance kit. pytest is not needed."""

from ganforge.testing.fakes import FakePlugin, fake_plugin

__all__ = ["FakePlugin", "fake_plugin"]
