"""Templates that are no process: `http` calls, `data` listings, `resource` objects. One file per kind."""
