import subprocess,os,sys
env=dict(os.environ); 
env.update(HOME='/tmp/stranger/home',KVADM_ENDPOINTS='127.0.0.1:24000')
K='/work/stranger/kvadm'
def rev():
    return subprocess.run([K,'status','--revision'],env=env,capture_output=True,text=True).stdout.strip()
import shlex
cases=[l.rstrip('\n') for l in open(sys.argv[1]) if l.strip()]
r0=rev()
for c in cases:
    a=shlex.split(c)
    try:
        p=subprocess.run([K]+a,env=env,capture_output=True,text=True,timeout=4,stdin=subprocess.DEVNULL)
        rc=p.returncode; out=p.stdout; err=p.stderr
    except subprocess.TimeoutExpired as e:
        rc='TIMEOUT';out=(e.stdout or b'').decode();err=(e.stderr or b'').decode()
    print('###',c,'=> rc',rc)
    if out: print('  OUT:',out[:300].rstrip())
    print('  '+err.rstrip().replace('\n','\n  '))
    r=rev()
    if r!=r0: print('  !!!!! REVISION CHANGED',r0,r); r0=r
