"""What the API answers, as models: they describe it in /openapi.json. Nothing is read or written through them, so a big
answer costs nothing; that answers are so, tests hold."""
