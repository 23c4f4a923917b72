"""Sources that are called: webhooks, forges and services that post, and the door they come through."""
