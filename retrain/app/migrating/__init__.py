"""Coming from Argo Events: what becomes of each object, what will not be needed any more, and in which order to do it.

`facts/` holds what is known of the differences, as data; `verdicts.py` judges an object by them and by the loader's
findings; `surroundings.py` and `plan.py` say what stands around them and what to do. All of it is pure; `reading.py`
reads directories and clusters.
"""
