"""Where the parts are put together: settings, the project, the running platform, and the questions one may ask of it.

The only place that reads the environment and that knows every room. Keep this file free of imports: commands that talk
to a platform over HTTP load modules of this folder and should not pay for the rest.
"""
