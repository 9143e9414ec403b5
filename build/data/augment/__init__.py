"""Makes clean conversations hard, by rules and a seed, without any model.

After the Arch-Router paper, section 4.1: irrelevance injection, policy modification and scenario mixing; beside them
noise in the text, the order of the routes and cut conversations. Each change is a function of a record that gives the
changed record, or None where it could make a label wrong.
"""
