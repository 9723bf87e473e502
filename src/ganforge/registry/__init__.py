"""How components come in: hook specs, registrars, guarded loading of installed plugins, and the registry."""
