"""The canvas: picture, heat and people, and the hand that moves them."""
