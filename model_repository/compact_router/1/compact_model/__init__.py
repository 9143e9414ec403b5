"""The compact router behind Triton's tensors: everything but Triton's own API.

``inputs`` reads the tensors of a call, ``conversation`` chooses which tokens of it are read, ``encoder`` turns tokens
into vectors, ``candidates`` does so for routes and ``cache`` keeps them, ``reader`` turns vectors into scores,
``parameters`` reads router.json, ``router`` joins them and ``digest`` names the whole folder. ``model.py`` beside this
package connects them to Triton.
"""
