"""A network for the rules of learning: shared matrices, sparse connections, constraints, superEps, noisy rates."""

DEFINITION = """
[data]
type=data
dataIdx=0
dims=192

[labels]
type=data
dataIdx=1

[conv1]
type=conv
inputs=data
channels=3
filters=16
filterSize=3
padding=1
stride=1
initW=0.3
partialSum=0
sharedBiases=1
neuron=nrelu

[sparse1]
type=conv
inputs=conv1
channels=16
filters=16
groups=2
randSparse=1
filterChannels=8
filterSize=3
padding=1
stride=1
initW=0.2
partialSum=0

[again1]
type=conv
inputs=sparse1
channels=32
filters=32
filterSize=3
padding=1
stride=1
initW=0.1
partialSum=0

[again2]
type=conv
inputs=again1
channels=32
filters=32
filterSize=3
padding=1
stride=1
initW=0.1
partialSum=0
weightSource=again1

[pool1]
type=pool
pool=rand
inputs=again2
channels=32
sizeX=3
stride=2

[local1]
type=local
inputs=pool1
channels=32
filters=16
filterSize=3
stride=1
initW=0.1

[fc1]
type=fc
inputs=local1
outputs=64
initW=0.1

[fc2]
type=fc
inputs=fc1
outputs=64
initW=0.1

[fc3]
type=fc
inputs=fc2,fc1
outputs=64
initW=0.1,0.1
weightSource=fc2,fc3[0]

[fc4]
type=fc
inputs=fc3
outputs=10
initW=0.1

[probs]
type=softmax
inputs=fc4

[logprob]
type=cost.logreg
inputs=labels,probs
"""

PARAMS = """
[conv1]
epsW=0.01
epsB=0.02
momW=0.9
momB=0.9
wc=0.0005
superEps=0.1

[sparse1]
epsW=0.01
epsB=0.02
momW=0.9
momB=0.9
wc=0.0005
wcNormMin=0.02
wcNormMax=0.0225

[again1]
epsW=0.01
epsB=0.02
momW=0.9
momB=0.9
wc=0.0005
wball=0.006
schedW=linear[10,0.5]

[again2]
epsW=0.03
epsB=0.02
momW=0.5
momB=0.9
wc=0
schedB=linear[10,0.5]

[pool1]
doMax=false

[local1]
epsW=0.01
epsB=0.02
momW=0.9
momB=0.9
wc=0.0005
wball=0.006

[fc1]
epsW=0.01
epsB=0.02
momW=0.9
momB=0.9
superEps=0.1

[fc2]
epsW=0.01
epsB=0.02
momW=0.9
momB=0.9
wc=0.01
schedW=dexp[10,0.5,4]

[fc3]
epsW=0.03,0.02
epsB=0.02
momW=0.5,0.5
momB=0.9
wc=0,0
schedW=exp[10,2]

[fc4]
epsW=0.01
epsB=0.02
momW=0.9
momB=0.9
wball=0.01

[logprob]
coeff=1
"""
