"""The ports: what the engine needs of the world, in the language of orders. Adapters implement them and stay silent."""
