// What is timed: `setup` once, then `code` again and again. Sizes are such that each takes some tens of milliseconds.

const NUMPY = `import numpy as np
rng = np.random.default_rng(5)
A = rng.random((90, 90))
M = rng.random((220, 220))
V = rng.random(200000)
I = rng.integers(0, 1000, 200000)
`;

const NBODY = `def combos(l):
    return [(l[i],l[j]) for i in range(len(l)) for j in range(i+1,len(l))]
def nbody(n):
    import math
    P=math.pi; S=4*P*P; D=365.24
    B=[([0.,0.,0.],[0.,0.,0.],S),([4.84,-1.16,-.10],[.00166*D,.00769*D,-.0000690*D],9.54e-4*S),([8.34,4.12,-4.03e-1],[-.00276*D,.00499*D,.0000230*D],2.85e-4*S),([1.28e1,-1.51e1,-2.23e-1],[.00296*D,.00237*D,-.0000296*D],4.36e-5*S),([1.53e1,-2.59e1,1.79e-1],[.00268*D,.00162*D,-.0000951*D],5.15e-5*S)]
    pairs=combos(B)
    for _ in range(n):
        for (p1,v1,m1),(p2,v2,m2) in pairs:
            dx=p1[0]-p2[0]; dy=p1[1]-p2[1]; dz=p1[2]-p2[2]
            mag=.01*((dx*dx+dy*dy+dz*dz)**-1.5)
            b1=m1*mag; b2=m2*mag
            v1[0]-=dx*b2; v1[1]-=dy*b2; v1[2]-=dz*b2
            v2[0]+=dx*b1; v2[1]+=dy*b1; v2[2]+=dz*b1
        for r,v,m in B:
            r[0]+=.01*v[0]; r[1]+=.01*v[1]; r[2]+=.01*v[2]
    return B[0][0][0]
`;

export const KERNELS = [
  {
    name: "nbody",
    setup: NBODY,
    code: String.raw`OUT=nbody(8000)`,
  },
  {
    name: "calls (fib)",
    setup: String.raw`def fib(n):
  return n if n<2 else fib(n-1)+fib(n-2)`,
    code: String.raw`OUT=fib(27)`,
  },
  {
    name: "json",
    setup: String.raw`import json
J=[{"a":i,"b":[i*.5,str(i),None,True],"c":{"x":"y"*(i%20)}} for i in range(3000)]
S=json.dumps(J)`,
    code: String.raw`for _ in range(3): OUT=len(json.dumps(json.loads(S)))`,
  },
  {
    name: "regex",
    setup: String.raw`import re
T=" ".join(f"user{i}@host{i%7}.example.org {i*7919%10007}" for i in range(4000))
R=re.compile(r"([a-z0-9]+)@([a-z0-9.]+)\s+(\d+)")`,
    code: String.raw`for _ in range(4): OUT=sum(int(m.group(3)) for m in R.finditer(T))+len(re.sub(r"(\w)\1","x",T))`,
  },
  {
    name: "pickle",
    setup: String.raw`import pickle
class P:
  def __init__(s,i): s.i=i; s.n=str(i); s.l=[i]*3
L=[P(i) for i in range(5000)]`,
    code: String.raw`for _ in range(2): OUT=len(pickle.loads(pickle.dumps(L)))`,
  },
  {
    name: "sort, hash",
    setup: String.raw`import random
random.seed(1)
X=[random.random() for _ in range(40000)]
Y=[str(x) for x in X]`,
    code: String.raw`for _ in range(3): OUT=sorted(X)[5]+len(sorted(Y))+len({k:1 for k in Y})`,
  },
  {
    name: "integers of many digits",
    setup: String.raw``,
    code: String.raw`for _ in range(4): OUT=len(str(3**9000))+pow(7,10**300,10**400+151)%1000+(3**40000*7**30000).bit_length()`,
  },
  {
    name: "zlib, sha256",
    setup: String.raw`import zlib,hashlib
Z=b"".join(str(i*i).encode() for i in range(60000))`,
    code: String.raw`OUT=len(zlib.decompress(zlib.compress(Z,6)))+hashlib.sha256(Z).digest()[0]`,
  },
  {
    name: "np svd, solve",
    setup: NUMPY,
    code: String.raw`for _ in range(6): OUT=float(np.linalg.svd(A)[1].sum()+np.linalg.solve(A,A[0]).sum())`,
    numpy: true,
  },
  {
    name: "np eig",
    setup: NUMPY,
    code: String.raw`for _ in range(4): OUT=float(abs(np.linalg.eig(A)[0]).sum())`,
    numpy: true,
  },
  {
    name: "np matmul",
    setup: NUMPY,
    code: String.raw`for _ in range(4): OUT=float((M@M).sum())`,
    numpy: true,
  },
  {
    name: "np fft",
    setup: NUMPY,
    code: String.raw`for _ in range(15): OUT=float(abs(np.fft.fft(V[:65536])).sum())`,
    numpy: true,
  },
  {
    name: "np ufuncs",
    setup: NUMPY,
    code: String.raw`for _ in range(8): OUT=float((np.sin(V)*V+np.exp(V)).sum()+V.dot(V)+np.sqrt(V).mean()+V.std())`,
    numpy: true,
  },
  {
    name: "np sort, unique",
    setup: NUMPY,
    code: String.raw`for _ in range(1): OUT=int(np.sort(I)[77]+np.unique(I).size+np.argsort(V)[3]+I.cumsum()[-1]%7)`,
    numpy: true,
  },
];
