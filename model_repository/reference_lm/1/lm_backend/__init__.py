"""The reference language model behind Triton's tensors: everything but Triton's own API.

``settings`` reads the parameters of config.pbtxt and ``integrity`` checks the weights they name; ``requests`` reads the
tensors of a call, ``prefix_cache`` keeps the KV states of recent prompts, ``generation`` decides token by token,
``responses`` fills the tensors of the answer and ``genai`` runs the model. ``model.py`` beside this package connects
them to Triton.
"""
