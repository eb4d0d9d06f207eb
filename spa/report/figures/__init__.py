"""Figures: numbers in, a drawing and the rows that it shows out."""
