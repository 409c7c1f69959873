"""One picture, asked of the model that made it: how strongly it shows its prompt, and how strange it is to the model.

No judge and no card: the network is asked about noisy copies of finished samples. It is no measure of quality:
docs/own-measure.md says what these numbers cannot tell.
"""
