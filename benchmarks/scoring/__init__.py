"""What one routing decision costs: scoring the candidates against generating an answer and parsing it.

Both ways run on one real Triton with ``model_repository/reference_lm``, on the same prompts, in turns. Run as
``python -m benchmarks.scoring`` from the repository's root; ``../README.md`` has the method and the results.

``workload`` draws policy sets and conversations, ``checkpoint`` makes the model, ``engine`` starts Triton;
``generation`` is the baseline, ``constrained`` an independent constrained decoder; ``speed`` and ``agreement`` measure,
``report`` and ``picture`` show.
"""
