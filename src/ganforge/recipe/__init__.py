"""A recipe is data: read from TOML, checked against a schema, written back. It knows no plugin."""
