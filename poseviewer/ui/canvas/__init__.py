"""The picture: frame, boxes, skeletons, heat, and the hand that moves joints."""
