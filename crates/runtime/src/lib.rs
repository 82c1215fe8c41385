//! Serves a router on Vercel, AWS Lambda or a local port, decided at run time
