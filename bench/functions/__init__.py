"""Functions as serverless platforms run them, for the porter's tests and `bench.fork`.

Each file is one function: what it does when imported is its initialisation, `handle`
answers an event. They stand for the classes of CXLfork's evaluation (ASPLOS 2025): float
arithmetic, JSON, graph search, image processing, linear algebra, a model's inference.
Apart from numpy they need nothing, and their answers can be checked.
"""
