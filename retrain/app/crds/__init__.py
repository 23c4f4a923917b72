"""CustomResourceDefinitions, made from the models that read the documents."""
