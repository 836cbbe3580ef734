#!/usr/bin/env python3
"""Medians, least and greatest CPU per request from the lines of compare.sh on standard input."""
import sys,json,collections,statistics
d=collections.defaultdict(list)
for l in sys.stdin:
    s,c,j=l.split(' ',2); j=json.loads(j); d[s,c].append((j['server_cpu_us_per_request'],j['requests_per_second'],j['latency_us_p50']))
for k,v in sorted(d.items(),key=lambda x:(x[0][1],x[0][0])): print(*k,'cpu %.2f [%.2f-%.2f]'%(statistics.median(x[0] for x in v),min(x[0] for x in v),max(x[0] for x in v)),'kops %.0f'%(statistics.median(x[1] for x in v)/1000),len(v))
