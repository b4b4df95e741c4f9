"""A permit's limits as rows over the coming steps: in tables, in the controller, as probabilities."""
