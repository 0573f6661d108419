"""Published tools that diagnose trainings, written anew from their papers and thresholds.

Each is called as `trainwell.watch` is and answers in the same codes, so that the corpus can be run
on it. Where a tool was made for Keras or TensorFlow, or says less than is needed here, the choice
that was made is named in its docstring. All findings are warnings: the tools know no severity.
"""
