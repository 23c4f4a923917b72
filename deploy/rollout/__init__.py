"""What comes after the commit: does the cluster follow it, is it healthy there, and what if not.

spec, kinds, check, verdict         what users write; the kinds of checks; what each is asked about, finds and says
argocd, flux, kserve                whether the cluster follows, by objects of its API
http, prometheus                    whether what serves there is well
asking, judge                       one check asked, whatever it does; from findings and times to a verdict, purely
verifier, subjects, tracing, tools  the loop; the commit; Git; what is outside
aftermath, rules, holds, standing   what a verdict leads to
steps, canary                       a change in steps
"""
