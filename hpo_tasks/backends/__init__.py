"""Where attempts run. Backends implement `base.Backend` and do not import one another."""
