"""Inspection of one separation: sounds, masks, embeddings, confidence."""
