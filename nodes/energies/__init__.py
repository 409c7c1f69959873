"""Energies as wires: one file a kind, named as in guidance/energies."""
