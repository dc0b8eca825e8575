"""One file a network: the identity encoder with its adapter, the medical encoder, the remover."""
