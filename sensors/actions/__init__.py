"""From events that met to an action, written out in full: parameters, templates, variables, kinds of trigger. Pure."""
