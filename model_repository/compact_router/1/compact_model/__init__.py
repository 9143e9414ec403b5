"""The compact router behind Triton's tensors: everything but Triton's own API.

``inputs`` reads the tensors of a call, ``conversation`` chooses which tokens of it are read, ``encoder`` turns tokens
into unit vectors, ``candidates`` does so for routes, ``cache`` keeps both, ``scoring`` turns vectors into logits with
the scalars that ``parameters`` reads from router.json, ``router`` joins them and ``digest`` names the whole folder.
``model.py`` beside this package connects them to Triton.
"""
