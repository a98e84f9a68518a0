"""The AWS resources that a deployment needs, as one CloudFormation template, and what `hpo infra` does with it.

hpo.yaml    the template (`infra/hpo.yaml` of the checkout is a link to it)
stack       create, update, describe and delete its stack
remains     what of a deployment is still in use
fragment    the lines of a study file that name the stack's resources
"""
