"""Where the object of a trigger comes from when it is not written in the manifest: the project, git, a URL, S3."""
