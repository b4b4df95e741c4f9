"""One optimal control problem over one transformer, solved by emisopt and by its peers: suite `mpc`, nlp-*.

`problem` states it, `merit` judges any answer in float64, and each *_calls module is one way of solving.
"""
